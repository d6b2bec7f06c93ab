# SPDX-License-Identifier: MIT
"""What ci/report makes of runs: a module each, and runs.py, which reads them."""
