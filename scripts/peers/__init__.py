"""What a user would pick instead of fastbp, each doing the same work; run by ``scripts/compare_peers.py``."""
