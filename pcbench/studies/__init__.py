"""Studies: a question fixed beforehand, the arms that an honest answer needs, and the answer."""
