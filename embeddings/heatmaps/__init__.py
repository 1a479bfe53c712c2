"""Which regions of two pictures speak for their match."""
