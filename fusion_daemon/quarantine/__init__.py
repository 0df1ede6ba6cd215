"""Messages that killed their handler twice: set aside, shown, replayed or discarded by the operator."""
