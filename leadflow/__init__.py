"""leadflow: lead-lifecycle automation that never downgrades a customer and explains every move."""

__version__ = "0.1.0"
