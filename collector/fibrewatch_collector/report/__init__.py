"""SLA reports: `figures` reckons what `model` describes, `page` shows it, `evidence` packs it to be reckoned again."""
