"""Before torch is loaded: threads that wait give their core away, since tests and the workers they start share the machine's cores."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
