"""An HTTP service that converts values between units."""
