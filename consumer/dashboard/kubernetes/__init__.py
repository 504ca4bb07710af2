"""Workers that run as pods of a SeldonDeployment."""

from consumer.dashboard.kubernetes.backend import KubernetesBackend

__all__ = ["KubernetesBackend"]
