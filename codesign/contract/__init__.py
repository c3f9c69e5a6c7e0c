"""What every target keeps, checked over small graphs: `codesign targets check NAME`."""
