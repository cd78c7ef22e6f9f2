"""The scripts that crackscan is measured against, as their own guides write them."""
