"""From the formats that people train in to the IR."""
