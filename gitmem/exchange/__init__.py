"""Import and export: other tools' memories come in with their times and sources, and everything goes out again.

`forms` tells what a source is and opens it (`claude_flow`, `ruflo`, `lines`, `folder` read one form each, `jsonfile`
large JSON); `naming` makes names legal; `arrivals` turns what came into commits; `importing` is all of that in
order; `exporting` is the way out.
Law: nothing is dropped in silence; what cannot be taken stands in the report, with the reason.
"""

from __future__ import annotations

from gitmem.exchange.exporting import export
from gitmem.exchange.forms import FORMS
from gitmem.exchange.importing import import_file
from gitmem.exchange.report import ImportReport

__all__ = ["FORMS", "ImportReport", "export", "import_file"]
