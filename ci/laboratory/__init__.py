# SPDX-License-Identifier: MIT
"""The lab: boots kernels under engines, and runs kvmspec there (ci/lab is its command line)."""
