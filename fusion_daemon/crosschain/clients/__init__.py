"""The bridges' own explorers: optional second sources that explain what the chains decided."""
