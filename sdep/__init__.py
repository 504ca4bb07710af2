"""What Kubernetes needs: overlays, images, and the commands that apply them."""
