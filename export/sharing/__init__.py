"""What giving a release away needs: archives, ranges, terms, citations, the card as a page."""
