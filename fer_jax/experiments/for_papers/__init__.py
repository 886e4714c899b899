"""Parts of a report that papers quote: tables, a paragraph on methods, where results come from."""
