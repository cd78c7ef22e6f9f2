"""Scripts to compare crackscan with, written as the guides of their libraries say."""
