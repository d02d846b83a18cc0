"""Bridges to other libraries. Each module is named after its library and imports it when called."""
