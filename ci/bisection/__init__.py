# SPDX-License-Identifier: MIT
"""What ci/bisect and ci/bisect-step are made of."""
