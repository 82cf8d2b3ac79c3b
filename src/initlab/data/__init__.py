"""DATA: the embedded digits, MNIST, the user's own arrays or Dataset."""
