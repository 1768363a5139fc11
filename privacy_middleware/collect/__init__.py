"""Pure rules: one request in, one minimised row out. No I/O; time and salts are arguments."""
