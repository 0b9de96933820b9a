"""Shows things: tables and figures as objects, and one renderer for each form."""
