"""From measured seconds to a report: floors, the work of a cell against the machine's limit, tables, a plot."""
