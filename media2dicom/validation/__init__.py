"""The project's own validator: what is written is looked at again, by the standard's tables, before it may be sent."""
