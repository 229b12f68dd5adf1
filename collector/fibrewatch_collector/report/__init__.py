"""SLA reports: `figures` reckons what `model` describes, `page` shows it, `evidence` packs it so that others can reckon it again."""
