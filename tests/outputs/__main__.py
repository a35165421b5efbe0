"""Write what kubectl says of each kind to docs/outputs.md."""

from tests.outputs.page import PAGE
from tests.outputs.played import played

if __name__ == "__main__":
    PAGE.write_text(played())
