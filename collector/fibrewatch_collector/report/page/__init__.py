"""A report as a page: one accessible HTML file without anything from elsewhere, and the PDF made of it."""
