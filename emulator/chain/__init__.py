"""What does the chain behind the gateway answer: the echo chain, or the user's own?"""
