"""Kubernetes manifests as data with positions: the objects of files, and the pods that they make. Pure."""
