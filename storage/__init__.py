"""Where the images of a run lie and its results go: a folder, or a bucket that speaks S3."""
