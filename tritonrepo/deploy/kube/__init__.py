"""Kubernetes manifests of a server: its pods, what is around them, and the layers of kustomize."""
