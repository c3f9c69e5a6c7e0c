"""The demo's own assets: a small network trained here and a slice of Fashion-MNIST.

`codesign.demo.data` needs numpy alone; `codesign.demo.network` loads torch, so import it only
where the network itself is wanted.
"""
