"""Generators in servers of their own on Kubernetes: vLLM and NIM."""
