"""Who the box is: joining the operator's authority, and a fresh certificate before the old one's time is over."""
