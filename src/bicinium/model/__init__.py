"""The network, twice: in PyTorch to train, in numpy to compose; and what it is told."""
