"""Who steals, told from reads and supply alone: pure arrays in, findings out; knows no event and no database."""
