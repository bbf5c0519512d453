"""Networks for other programs: ONNX, PyTorch, safetensors and C; a file for each, and a method of ``Network``.

Every file is written whole or not at all, and none is a pickle. ``parts`` is what the four have in common.
"""
