"""What other packages add to cnnc."""
