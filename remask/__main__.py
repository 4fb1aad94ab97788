"""`python -m remask` is `remask`."""

import sys

from .cli import main

sys.exit(main())
