"""Training. With ``model.transformer``, the only part of bicinium that imports torch."""

import os

# Threads of torch that wait for each other sleep. By default they spin, which takes the processor
# from the thread that they wait for as soon as another program is running. Read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
