"""A Sphinx extension: what a link to a file of the repository outside docs/ becomes on the site.

With `repository_address` it leads to the file there; without one it is its text and the file's path, since a site that
is read from a disk has no such file.
"""

from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

REPOSITORY = Path(__file__).resolve().parent.parent


class RepositoryLinks(SphinxTransform):
    """Replace links that lead out of docs/."""

    default_priority = 500

    def apply(self, **_: object) -> None:
        """Look at every link of the page that MyST left to be resolved."""
        folder = Path(self.env.doc2path(self.env.docname)).parent
        for node in [
            *self.document.findall(addnodes.pending_xref),
            *self.document.findall(addnodes.download_reference),
        ]:
            target = node["reftarget"]
            if node.get("refdomain") == "doc":  # a page, which MyST names from docs/ and without its ending
                path = Path(self.env.srcdir, f"{target}.md").resolve()
            else:
                path = (folder / target.partition("#")[0]).resolve()
            if node.get("reftype") == "myst" and path.exists() and not path.is_relative_to(self.env.srcdir):
                node.replace_self(self.link(node, path.relative_to(REPOSITORY), node.get("reftargetid")))

    def link(self, node: nodes.Element, path: Path, anchor: str | None) -> nodes.Element:
        """Return what stands in a link's stead."""
        if self.config.repository_address:
            form = "tree" if (REPOSITORY / path).is_dir() else "blob"
            address = f"{self.config.repository_address.rstrip('/')}/{form}/main/{path}"
            return nodes.reference("", "", *node.children, refuri=f"{address}#{anchor}" if anchor else address)
        shown = nodes.inline("", "", *node.children)
        if str(path) not in node.astext():
            shown += [nodes.Text(" ("), nodes.literal(str(path), str(path)), nodes.Text(")")]
        return shown


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the setting and the transform."""
    app.add_config_value("repository_address", "", "env", str)
    app.add_transform(RepositoryLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
