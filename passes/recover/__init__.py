"""Training that gives back accuracy that compression cost."""
