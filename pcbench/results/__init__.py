"""What a run leaves behind: its description, its outcomes, and the folder that holds them."""
