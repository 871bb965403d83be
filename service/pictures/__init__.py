"""Result images: fetched for clients that have no way to where the image API keeps them, under URLs that we sign."""
