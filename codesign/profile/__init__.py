"""A device's profile: fitted corrections of the cost model, with their error bars."""
