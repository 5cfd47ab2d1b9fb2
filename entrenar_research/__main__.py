"""`python -m entrenar_research`."""

import sys

from entrenar_research.cli import main

sys.exit(main())
