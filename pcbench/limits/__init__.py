"""How much memory what is read from one file may take; every size is checked before anything is allocated."""
