"""The website of Havn & Hede Letterpress, a company that does not exist: a small real site that uses the package."""
