"""What providers allow in a minute, and how calls keep below it: they wait a moment, or go elsewhere."""
