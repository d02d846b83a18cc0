"""The network: in PyTorch for training, in numpy for generation; its inputs and checkpoints."""
